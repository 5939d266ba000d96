//! Prints the faces of a font file, and, when it has read a line, a checksum of each.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: faces FILE")?;
    let mut database = fontdb::Database::new();
    database.load_font_file(&path)?;
    for face in database.faces() {
        let sum = database.with_face_data(face.id, |data, _| {
            println!("{}: {} bytes", face.post_script_name, data.len());
            let _ = std::io::stdin().read_line(&mut String::new());
            data.iter().fold(0_u32, |sum, &byte| sum.rotate_left(5) ^ u32::from(byte))
        });
        println!("{:08x}", sum.ok_or("the font file was truncated while it was read")?);
    }
    Ok(())
}
