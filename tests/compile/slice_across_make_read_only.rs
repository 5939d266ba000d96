fn main() {
    let mut map = baremap::MmapMut::map_anon(1).unwrap();
    let slice = &mut map[..];
    let _map = map.make_read_only().unwrap();
    slice[0] = 1;
}
