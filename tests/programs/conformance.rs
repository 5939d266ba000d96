#![no_std]
#![no_main]
baremap::entry!(main);
fn main(_: baremap::rt::Start) {}
