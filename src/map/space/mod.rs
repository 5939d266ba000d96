//! Address space as a tool: reserved addresses, and what is put there.

mod arena;
mod code;
mod reservation;
mod ring;

pub use arena::Arena;
pub use code::{Code, CodeMut};
pub use reservation::{Addresses, Map, Placed, Reservation};
pub use ring::Ring;
