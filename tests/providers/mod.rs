//! Where credentials come from.

mod local;
mod system;
mod world;
