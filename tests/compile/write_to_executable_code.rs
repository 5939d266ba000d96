fn main() {
    let mut code = baremap::map::CodeMut::new(1).unwrap().make_exec().unwrap();
    code[0] = 1;
}
