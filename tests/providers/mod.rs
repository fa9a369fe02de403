//! Where credentials come from.

mod cached;
mod cached_model;
mod local;
mod skew;
mod system;
mod world;
