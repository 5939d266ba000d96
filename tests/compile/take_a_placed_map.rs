fn main() {
    let reservation = baremap::map::Reservation::new(1).unwrap();
    let map = baremap::MmapMut::map_anon(1).unwrap();
    let mut placed = baremap::map::Placed::new(map, reservation, 0).unwrap();
    let _taken = std::mem::replace(&mut *placed, baremap::MmapMut::map_anon(1).unwrap());
}
