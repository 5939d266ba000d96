fn main() {
    baremap_build::freestanding();
}
