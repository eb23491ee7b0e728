//! What SQL of people goes through, for whoever lets them read another file than a room's.

pub use super::definition::sql_type;
pub use super::reader::{
    Clock, Failure, Guard, answer, describe, explain, install_strings, set_limits,
};
