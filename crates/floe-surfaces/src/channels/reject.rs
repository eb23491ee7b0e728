//! Requests that failed.

use std::borrow::Cow;

use floe_proto::Code;

use super::route::Form;
use crate::http::{self, Envelope};

/// Why a request was not handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The form it was asked in.
    pub form: Form,
    /// What went wrong.
    pub code: Code,
    /// In words.
    pub message: Cow<'static, str>,
}

/// Writes the answer to a request that was not handed on.
pub fn write_reject(out: &mut Vec<u8>, envelope: &Envelope<'_>, reject: &Reject) {
    write_error(out, envelope, reject.form, reject.code, &reject.message);
}

/// Writes the answer to a request that failed, in the form it was asked in.
pub fn write_error(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    form: Form,
    code: Code,
    message: &str,
) {
    http::error(out, envelope, form.code(code), message);
}

impl Form {
    /// Returns the code that an answer in this form has.
    ///
    /// The kept form has four codes of its own for the failures it knows; all others have ours.
    #[must_use]
    pub const fn code(self, code: Code) -> Code {
        match (self, code) {
            (Self::V1, code) => code,
            (
                Self::Channel | Self::Log,
                Code::InvalidJson
                | Code::EmptyBody
                | Code::ContentTypeRequired
                | Code::InvalidOffset
                | Code::InvalidFrame
                | Code::EventTooLarge,
            ) => Code::InvalidRequest,
            (Self::Channel | Self::Log, Code::UnknownRoute | Code::Gone) => Code::NotFound,
            (Self::Channel | Self::Log, Code::OriginRejected) => Code::Forbidden,
            (Self::Channel | Self::Log, code) => code,
        }
    }
}

/// What is wrong with a part of a request, before it is known in which form it was asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub code: Code,
    pub message: Cow<'static, str>,
}

impl Fault {
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    pub fn missing(name: &str) -> Self {
        Self::invalid(format!("{name} is required"))
    }

    pub fn in_form(self, form: Form) -> Reject {
        Reject {
            form,
            code: self.code,
            message: self.message,
        }
    }
}
