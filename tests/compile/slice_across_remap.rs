fn main() {
    let mut map = baremap::MmapMut::map_anon(1).unwrap();
    let slice = &map[..];
    unsafe { map.remap(2, baremap::RemapOptions::new()).unwrap() };
    println!("{slice:?}");
}
