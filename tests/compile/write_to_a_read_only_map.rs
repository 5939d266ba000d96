fn main() {
    let map = baremap::MmapMut::map_anon(1).unwrap().make_read_only().unwrap();
    map[0] = 1;
}
