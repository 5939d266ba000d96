//! Address space as a tool: reserved addresses, and what is put there.

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
