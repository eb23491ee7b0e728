//! Which pages may open live connections.

/// Returns whether a page of `origin` may open a live connection to `host`.
///
/// Browsers let any page open a WebSocket to anywhere and name the page's origin; nothing else
/// stands between a foreign page and a connection made in the name of who looks at it. Who sends
/// no origin is no browser. Besides the origin whose host and port are those of the request,
/// `allowed` names origins as browsers write them (`https://app.example.com`); `*` is all.
#[must_use]
pub fn origin_allowed<T: AsRef<str>>(
    origin: Option<&[u8]>,
    host: Option<&[u8]>,
    allowed: &[T],
) -> bool {
    let Some(origin) = origin else {
        return true;
    };
    let named = |allowed: &T| {
        let allowed = allowed.as_ref();
        allowed == "*"
            || allowed
                .trim_end_matches('/')
                .as_bytes()
                .eq_ignore_ascii_case(origin)
    };
    allowed.iter().any(named) || host.is_some_and(|host| same(origin, host))
}

/// Returns whether the origin's host and port are those of `host`.
fn same(origin: &[u8], host: &[u8]) -> bool {
    let ports: [(&[u8], &[u8]); 2] = [(b"http://", b":80"), (b"https://", b":443")];
    ports.iter().any(|(scheme, port)| {
        let Some((start, authority)) = origin.split_at_checked(scheme.len()) else {
            return false;
        };
        let bare = |name| -> &[u8] { <[u8]>::strip_suffix(name, *port).unwrap_or(name) };
        start.eq_ignore_ascii_case(scheme)
            && !authority.is_empty()
            && bare(authority).eq_ignore_ascii_case(bare(host))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &[&str] = &[];

    fn allowed(origin: &str, host: &str, list: &[&str]) -> bool {
        let list: Vec<_> = list.iter().map(|origin| (*origin).to_owned()).collect();
        origin_allowed(Some(origin.as_bytes()), Some(host.as_bytes()), &list)
    }

    #[test]
    fn a_page_of_the_same_host_is_welcome() {
        assert!(allowed("http://localhost:4437", "localhost:4437", NONE));
        assert!(allowed(
            "https://Chat.example.com",
            "chat.example.com",
            NONE
        ));
        assert!(allowed(
            "https://chat.example.com",
            "chat.example.com:443",
            &[]
        ));
        assert!(allowed("http://[::1]:80", "[::1]", NONE));
    }

    #[test]
    fn a_page_of_another_host_is_not() {
        for origin in [
            "https://evil.example.com",
            "http://localhost",
            "http://localhost:4438",
            "http://localhost:4437.evil.example.com",
            "https://evil.example.com/localhost:4437",
            "localhost:4437",
            "file://localhost:4437",
            "http://",
            "null",
            "",
        ] {
            assert!(!allowed(origin, "localhost:4437", NONE), "{origin}");
        }
        assert!(!origin_allowed(Some(b"http://a"), None, NONE));
        assert!(!allowed("http://", "", NONE));
        assert!(!allowed("http://a:443", "a", NONE));
    }

    #[test]
    fn the_list_adds_to_it() {
        let list = ["https://app.example.com/"];
        assert!(allowed("https://app.example.com", "localhost:4437", &list));
        assert!(!allowed(
            "https://app.example.com.evil",
            "localhost:4437",
            &list
        ));
        assert!(allowed("http://localhost:4437", "localhost:4437", &list));
        assert!(allowed("null", "localhost:4437", &["*"]));
    }

    #[test]
    fn who_names_no_origin_is_no_browser() {
        assert!(origin_allowed(None, Some(b"localhost"), NONE));
    }
}
