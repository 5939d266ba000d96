fn main() {
    let map = baremap::MmapMut::map_anon(1).unwrap().make_read_only().unwrap();
    let slice = &map[..];
    let mut map = map.try_make_mut().unwrap();
    map[0] = 1;
    println!("{slice:?}");
}
