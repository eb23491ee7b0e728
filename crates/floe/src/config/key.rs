//! The names of settings, and what kind of value each takes.

use std::any::TypeId;

use clap::{Arg, ArgAction};

/// Returns the name of an argument in a file, where it is a setting.
pub fn key_of(argument: &Arg) -> Option<String> {
    let action = argument.get_action();
    let takes_value = matches!(action, ArgAction::Set | ArgAction::Append);
    // Where the file is cannot be said in the file.
    let is_setting = (takes_value || says(argument).is_some()) && argument.get_id() != "config";
    let long = argument.get_long().filter(|_| is_setting)?;
    Some(long.replace('-', "_"))
}

/// Returns what a flag without a value says.
pub fn says(argument: &Arg) -> Option<bool> {
    let action = argument.get_action();
    let is_switch = matches!(action, ArgAction::SetTrue | ArgAction::SetFalse);
    is_switch.then_some(matches!(action, ArgAction::SetTrue))
}

/// Returns whether a setting takes a list.
pub fn is_list(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Append)
}

/// Returns whether a setting must not be shown.
pub fn is_secret(argument: &Arg) -> bool {
    argument.is_hide_env_values_set()
}

/// What kind of value a setting takes or a file gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Switch,
    /// A whole number.
    Number,
    /// Any number.
    Fraction,
    /// A string.
    Text,
    /// The parser of the setting alone knows.
    Any,
}

impl Kind {
    /// Returns the kind of value that a setting takes.
    pub fn of(argument: &Arg) -> Self {
        let value = argument.get_value_parser().type_id();
        let is = |types: &[TypeId]| types.iter().any(|one| value == *one);
        let numbers = [
            TypeId::of::<u8>(),
            TypeId::of::<u16>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<usize>(),
            TypeId::of::<i32>(),
            TypeId::of::<i64>(),
        ];
        if is(&[TypeId::of::<bool>()]) {
            Self::Switch
        } else if is(&numbers) {
            Self::Number
        } else if is(&[TypeId::of::<f64>(), TypeId::of::<f32>()]) {
            Self::Fraction
        } else if is(&[TypeId::of::<String>(), TypeId::of::<std::path::PathBuf>()]) {
            Self::Text
        } else {
            Self::Any
        }
    }

    /// Returns whether a setting of this kind takes a value of another.
    pub fn takes(self, other: Self) -> bool {
        match self {
            Self::Any => true,
            Self::Fraction => matches!(other, Self::Fraction | Self::Number),
            Self::Switch | Self::Number | Self::Text => self == other,
        }
    }

    /// Returns what it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Switch => "true or false",
            Self::Number => "a whole number",
            Self::Fraction => "a number",
            Self::Text => "a string",
            Self::Any => "a value",
        }
    }
}
