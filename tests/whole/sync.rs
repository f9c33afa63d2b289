//! Uploads against the real server, behind a network that does what networks do: after whatever happens,
//! the rows on the server are the rows appended.

mod commands;
mod faults;
mod files;
mod kills;
pub mod lab;
mod lies;
mod publishing;
mod refusals;
mod room;
mod schedules;
