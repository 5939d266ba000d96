fn main() {
    let mut reservation = baremap::map::Reservation::new(1).unwrap();
    let bytes = reservation.commit(0..1).unwrap();
    drop(reservation);
    bytes[0] = 1;
}
