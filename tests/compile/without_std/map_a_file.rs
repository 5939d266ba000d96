fn main() {
    let file = std::fs::File::open("Cargo.toml").unwrap();
    let _map = unsafe { baremap::Mmap::map(&file) };
    let _fd = baremap::fd::AsFd::as_fd(&file);
}
