fn main() {
    let map = baremap::MmapMut::map_anon(1).unwrap();
    let slice = &map[..];
    drop(map);
    println!("{slice:?}");
}
