//! What a caller may do.

/// A set of rights in a room, or in all rooms of a namespace.
///
/// The bits are part of tokens and of what is kept on disk, so none is ever renumbered. The first
/// five are those that a channel token can carry, in one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u16);

impl Rights {
    /// Nothing at all.
    pub const NONE: Self = Self(0);
    /// Read what a room holds, be told of what is new, and see who is there.
    pub const READ: Self = Self(1);
    /// Append, and edit and react as the author of an event.
    pub const APPEND: Self = Self(2);
    /// See deleted events with all that they said.
    pub const READ_DELETED: Self = Self(4);
    /// Delete events of one's own.
    pub const DELETE_OWN: Self = Self(8);
    /// Delete and edit events of anyone.
    pub const DELETE_ANY: Self = Self(16);
    /// Be a member of a room that others see.
    pub const PRESENCE: Self = Self(32);
    /// Make rooms.
    pub const CREATE: Self = Self(64);
    /// Change, delete and lock rooms, rotate their secrets, sign tokens for them.
    pub const MANAGE: Self = Self(128);
    /// Look after the namespace itself: its keys, quotas, audit log.
    pub const ADMIN: Self = Self(256);
    /// Everything that a channel token can carry.
    pub const TOKEN: Self = Self(31);
    /// Everything that there is a right for.
    pub const ALL: Self = Self(511);

    /// Every right and its word in a channel, in the order of the bits.
    const WORDS: [(&str, Self); 9] = [
        ("read", Self::READ),
        ("append", Self::APPEND),
        ("read:deleted", Self::READ_DELETED),
        ("delete:own", Self::DELETE_OWN),
        ("delete:any", Self::DELETE_ANY),
        ("presence", Self::PRESENCE),
        ("create", Self::CREATE),
        ("manage", Self::MANAGE),
        ("admin", Self::ADMIN),
    ];

    /// Returns the right that a word stands for.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let row = Self::WORDS.iter().find(|(known, _)| *known == word)?;
        Some(row.1)
    }

    /// Returns the words for these rights, in the order of their bits.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let rows = Self::WORDS.into_iter();
        rows.filter_map(move |(word, right)| self.contains(right).then_some(word))
    }

    /// Returns the right that a word stands for in a channel's token.
    #[must_use]
    pub fn of_channel_word(word: &str) -> Option<Self> {
        Self::of_word(word).filter(|right| Self::TOKEN.contains(*right))
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

    /// Returns the words of a channel's token for these rights, in the order of their bits.
    pub fn channel_words(self) -> impl Iterator<Item = &'static str> {
        self.only(Self::TOKEN).words()
    }

    /// Returns the bits on the wire.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Reads the bits on the wire; `None` where one has no meaning.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// Returns the byte that a channel token carries.
    #[must_use]
    pub const fn token_bits(self) -> u8 {
        self.only(Self::TOKEN).0 as u8
    }

    /// Reads the byte that a channel token carries; `None` where a bit has no meaning there.
    #[must_use]
    pub const fn from_token_bits(bits: u8) -> Option<Self> {
        if bits & !Self::TOKEN.token_bits() == 0 {
            Some(Self(bits as u16))
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

    /// Returns the rights that are among these and not among `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_one_bit_and_the_bits_are_fixed() {
        let words: Vec<_> = Rights::ALL.channel_words().collect();
        let bits: Vec<_> = words
            .iter()
            .map(|word| Rights::of_channel_word(word).unwrap().token_bits())
            .collect();
        assert_eq!(
            words,
            ["read", "append", "read:deleted", "delete:own", "delete:any"]
        );
        assert_eq!(bits, [1, 2, 4, 8, 16]);
        let all: Vec<_> = Rights::ALL.words().collect();
        assert_eq!(all[5..], ["presence", "create", "manage", "admin"]);
        let all = all.into_iter().filter_map(Rights::of_word);
        assert_eq!(all.fold(Rights::NONE, Rights::with), Rights::ALL);
        assert_eq!(Rights::of_log_word("write"), Some(Rights::APPEND));
        for word in ["", "write", "admin", "READ", "read "] {
            assert_eq!(Rights::of_channel_word(word), None, "{word}");
        }
        assert_eq!(Rights::of_log_word("append"), None);
    }

    #[test]
    fn bits_without_a_meaning_are_refused() {
        for bits in 0..=u8::MAX {
            let rights = Rights::from_token_bits(bits);
            assert_eq!(rights.map(Rights::token_bits), (bits < 32).then_some(bits));
        }
        for bits in 0..=u16::MAX {
            let rights = Rights::from_bits(bits);
            assert_eq!(rights.map(Rights::bits), (bits < 512).then_some(bits));
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
