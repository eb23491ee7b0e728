//! Where a page ended, in a form that says nothing to its holder.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use floe_proto::Scope;

use crate::QueryError;

/// Writes a page's end: the numbers that the next page starts from, and what question they answer.
pub fn write<const N: usize>(question: Question, numbers: [u64; N]) -> Box<str> {
    let mut bytes = question.0.to_be_bytes().to_vec();
    for number in numbers {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    URL_SAFE_NO_PAD.encode(bytes).into()
}

/// Reads a page's end.
///
/// # Errors
/// [`QueryError::Page`] when it is none, or belongs to another question. It decides where an
/// answer starts and never what may be in it, so a forged one can do no harm.
pub fn read<const N: usize>(question: Question, page: &str) -> Result<[u64; N], QueryError> {
    let bytes = URL_SAFE_NO_PAD.decode(page).map_err(|_| QueryError::Page)?;
    let (words, rest) = bytes.as_chunks::<8>();
    let [of, numbers @ ..] = words else {
        return Err(QueryError::Page);
    };
    if !rest.is_empty() || u64::from_be_bytes(*of) != question.0 {
        return Err(QueryError::Page);
    }
    let numbers = <[[u8; 8]; N]>::try_from(numbers).map_err(|_| QueryError::Page)?;
    Ok(numbers.map(u64::from_be_bytes))
}

/// A question in eight bytes, so that a page of one is not taken for that of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question(u64);

impl Question {
    /// Starts with what kind of question it is.
    pub fn new(kind: u8) -> Self {
        Self(0xcbf2_9ce4_8422_2325).bytes(&[kind])
    }

    /// Adds a number that may be missing.
    pub fn number(self, number: Option<u64>) -> Self {
        match number {
            Some(number) => self.bytes(&[1]).bytes(&number.to_be_bytes()),
            None => self.bytes(&[0]),
        }
    }

    /// Adds a text that may be missing.
    pub fn text(self, text: Option<&str>) -> Self {
        let with_len = self.number(text.map(|text| text.len() as u64));
        with_len.bytes(text.unwrap_or_default().as_bytes())
    }

    /// Adds where a question looks.
    pub fn scope(self, scope: &Scope) -> Self {
        match scope {
            Scope::Channel(id) => self.flag(true).bytes(&id.0),
            Scope::Namespace(name) => self.flag(false).text(Some(name)),
            // Which channels they are may change from page to page, and what was shown stays shown.
            Scope::Channels { owner, .. } => self.flag(false).flag(true).text(Some(owner)),
        }
    }

    /// Adds a choice.
    pub fn flag(self, flag: bool) -> Self {
        self.bytes(&[u8::from(flag)])
    }

    /// FNV-1a.
    fn bytes(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_is_read_by_its_own_question_alone() {
        let question = Question::new(1).text(Some("ann")).number(None);
        let other = Question::new(1).text(Some("bob")).number(None);
        let page = write(question, [7, u64::MAX]);
        assert_eq!(read(question, &page).unwrap(), [7, u64::MAX]);
        assert!(read::<2>(other, &page).is_err());
        assert!(read::<1>(question, &page).is_err());
        assert!(read::<2>(question, &page[1..]).is_err());
        assert!(read::<2>(question, "").is_err());
    }

    proptest! {
        #[test]
        fn hostile_pages_are_refused(page in ".{0,60}") {
            prop_assert!(read::<2>(Question::new(1), &page).is_err());
        }
    }
}
