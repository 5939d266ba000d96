fn main() {
    let map = baremap::MmapRaw::from(baremap::MmapMut::map_anon(1).unwrap());
    println!("{:?}", &map[..]);
}
