fn main() {
    let mut ring = baremap::map::Ring::new(1).unwrap();
    let slice = ring.readable();
    ring.consume(0);
    println!("{slice:?}");
}
