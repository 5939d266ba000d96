//! Address space as a tool: reserved addresses, and the maps and buffers built on them.

mod arena;
mod code;
mod placed;
mod reservation;
mod ring;

pub use arena::Arena;
pub use code::{Code, CodeMut};
pub use placed::{Map, Placed, ReservationHandle};
pub use reservation::Reservation;
pub use ring::Ring;
