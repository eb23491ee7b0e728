//! What a caller may do in one channel.

/// A set of rights in one channel or log.
///
/// The bits are part of a channel token's bytes, so none is ever renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u8);

impl Rights {
    /// Nothing at all.
    pub const NONE: Self = Self(0);
    /// Read events, and be told of new ones.
    pub const READ: Self = Self(1);
    /// Append events, and edit and react as their author.
    pub const APPEND: Self = Self(2);
    /// See deleted events with all that they said.
    pub const READ_DELETED: Self = Self(4);
    /// Delete events of one's own.
    pub const DELETE_OWN: Self = Self(8);
    /// Delete and edit events of anyone.
    pub const DELETE_ANY: Self = Self(16);
    /// Everything that there is a right for.
    pub const ADMIN: Self = Self(31);

    /// Every right and its word in a channel, in the order of the bits.
    const WORDS: [(&str, Self); 5] = [
        ("read", Self::READ),
        ("append", Self::APPEND),
        ("read:deleted", Self::READ_DELETED),
        ("delete:own", Self::DELETE_OWN),
        ("delete:any", Self::DELETE_ANY),
    ];

    /// Returns the right that a word stands for in a channel.
    #[must_use]
    pub fn of_channel_word(word: &str) -> Option<Self> {
        let row = Self::WORDS.iter().find(|(known, _)| *known == word)?;
        Some(row.1)
    }

    /// Returns the right that a word stands for in a log, where appending is called `write`.
    #[must_use]
    pub fn of_log_word(word: &str) -> Option<Self> {
        match word {
            "read" => Some(Self::READ),
            "write" => Some(Self::APPEND),
            _ => None,
        }
    }

    /// Returns the words of a channel for these rights, in the order of their bits.
    pub fn channel_words(self) -> impl Iterator<Item = &'static str> {
        let rows = Self::WORDS.into_iter();
        rows.filter_map(move |(word, right)| self.contains(right).then_some(word))
    }

    /// Returns the bits on the wire.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Reads the bits on the wire; `None` where one has no meaning.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::ADMIN.0 == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// Returns whether all of `other` are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether any of `other` is among these.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns these rights and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the rights that are among these and among `other`.
    #[must_use]
    pub const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_one_bit_and_the_bits_are_fixed() {
        let words: Vec<_> = Rights::ADMIN.channel_words().collect();
        let bits: Vec<_> = words
            .iter()
            .map(|word| Rights::of_channel_word(word).unwrap().bits())
            .collect();
        assert_eq!(
            words,
            ["read", "append", "read:deleted", "delete:own", "delete:any"]
        );
        assert_eq!(bits, [1, 2, 4, 8, 16]);
        assert_eq!(Rights::of_log_word("write"), Some(Rights::APPEND));
        for word in ["", "write", "admin", "READ", "read "] {
            assert_eq!(Rights::of_channel_word(word), None, "{word}");
        }
        assert_eq!(Rights::of_log_word("append"), None);
    }

    #[test]
    fn bits_without_a_meaning_are_refused() {
        for bits in 0..=u8::MAX {
            let rights = Rights::from_bits(bits);
            assert_eq!(rights.map(Rights::bits), (bits < 32).then_some(bits));
        }
    }

    #[test]
    fn rights_are_a_set() {
        let both = Rights::READ.with(Rights::APPEND);
        assert!(both.contains(Rights::READ) && !Rights::READ.contains(both));
        assert!(both.intersects(Rights::APPEND) && !both.intersects(Rights::DELETE_ANY));
        assert_eq!(both.only(Rights::READ), Rights::READ);
        assert_eq!(Rights::default(), Rights::NONE);
    }
}
