//! Memory that is free, but still the process's.

/// Gives freed memory back to the system.
///
/// The allocator of the GNU C library keeps what a burst has taken; others give it back unasked, so
/// nothing is done there.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "the C library has no safe interface to this")]
        // SAFETY: the call takes no pointers and may be made at any time, from any thread.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
