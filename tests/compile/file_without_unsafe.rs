fn main() {
    let _map = baremap::Mmap::map(0).unwrap();
}
