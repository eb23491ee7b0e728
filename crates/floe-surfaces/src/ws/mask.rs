//! The mask over what clients send.

/// Applies the mask to `bytes`, of which the first one is `at` bytes into its frame's payload.
///
/// Applied a second time it undoes itself.
pub fn apply_mask(bytes: &mut [u8], mut key: [u8; 4], at: u64) {
    key.rotate_left((at % 4) as usize);
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let mut eight = [0; 8];
        eight.copy_from_slice(word);
        word.copy_from_slice(&(u64::from_ne_bytes(eight) ^ wide).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_byte_meets_its_byte_of_the_key(bytes: Vec<u8>, key: [u8; 4], at in 0..9_u64) {
            let mut masked = bytes.clone();
            apply_mask(&mut masked, key, at);
            for (index, (masked, byte)) in masked.iter().zip(&bytes).enumerate() {
                prop_assert_eq!(*masked, byte ^ key[(index + at as usize) % 4]);
            }
            apply_mask(&mut masked, key, at);
            prop_assert_eq!(masked, bytes);
        }
    }
}
