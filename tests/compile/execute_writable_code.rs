fn main() {
    let code = baremap::map::CodeMut::new(1).unwrap();
    let _function: extern "C" fn() = unsafe { code.function(0) };
}
