//! Which pages may read an answer: those of the origins that its namespace lists, else all (CORS).

use std::collections::BTreeMap;

use floe_core::directory::Directory;
use floe_log::Disk;
use floe_proto::Namespace;
use floe_surfaces::http::{Cors, split_namespace};
use floe_surfaces::live::origin_allowed;

use super::Reactor;
use super::dispatch::split_target;

/// The origins of all namespaces that list any.
#[derive(Debug, Default)]
pub struct Pages {
    listed: BTreeMap<Namespace, Vec<Box<str>>>,
}

/// From which page a request comes, and whether that may read the answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    origin: Option<Box<str>>,
    /// What the request calls the server: pages that come from there are its own.
    host: Option<Box<[u8]>>,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Every page may: the namespace lists none.
    Anyone,
    Listed,
    Unlisted,
}

impl Pages {
    /// Takes over what operators have settled.
    pub fn of(directory: &Directory) -> Self {
        let namespaces = directory.namespaces();
        let listing = namespaces.filter(|entry| !entry.settings.origins.is_empty());
        let listed = listing.map(|entry| (entry.name.clone(), entry.settings.origins.clone()));
        Self {
            listed: listed.collect(),
        }
    }

    fn judge<T: AsRef<str>>(
        &self,
        page: &Page,
        namespace: &Namespace,
        everywhere: &[T],
    ) -> Verdict {
        let Some(listed) = self.listed.get(namespace) else {
            return Verdict::Anyone;
        };
        let (Some(origin), host) = (&page.origin, page.host.as_deref()) else {
            return Verdict::Unlisted;
        };
        let origin = Some(origin.as_bytes());
        if origin_allowed(origin, host, listed) || origin_allowed(origin, host, everywhere) {
            Verdict::Listed
        } else {
            Verdict::Unlisted
        }
    }
}

/// Returns what an answer says of who may read it; `asked` is whether the request named an origin.
pub fn cors(page: Option<&Page>, asked: bool) -> Cors<'_> {
    let listed = page.map(|page| (page.verdict, page.origin.as_deref()));
    match listed {
        Some((Verdict::Listed, Some(origin))) => Cors::Listed(origin),
        Some((Verdict::Listed, None) | (Verdict::Unlisted, _)) => Cors::Unlisted,
        Some((Verdict::Anyone, _)) | None if asked => Cors::Anyone,
        Some((Verdict::Anyone, _)) | None => Cors::Unasked,
    }
}

impl<D: Disk> Reactor<D> {
    /// Notes from which page a request comes, and judges it by what its path says, which is all that
    /// a preflight and a request without credentials say.
    pub(super) fn note_page(&mut self, at: usize, target: &str, fields: &[httparse::Header<'_>]) {
        if self.pages.listed.is_empty() {
            return;
        }
        let value = |name: &str| {
            let mut found = fields.iter();
            let found = found.find(|field| field.name.eq_ignore_ascii_case(name));
            found.map(|field| field.value)
        };
        let origin = value("origin").and_then(|origin| std::str::from_utf8(origin).ok());
        self.conns[at].page = Some(Box::new(Page {
            origin: origin.map(Into::into),
            host: value("host").map(Into::into),
            verdict: Verdict::Anyone,
        }));
        let (path, _) = split_target(target);
        let named = split_namespace(path).ok().and_then(|(named, _)| named);
        self.judge_page(at, &named.unwrap_or_default());
    }

    /// Judges the page of a request anew: it is known now of which namespace the answer is.
    pub(super) fn judge_page(&mut self, at: usize, namespace: &Namespace) {
        if let Some(page) = self.conns.get_mut(at).and_then(|conn| conn.page.as_mut()) {
            page.verdict = self.pages.judge(page, namespace, &self.origins);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &[&str] = &[];

    fn page(origin: Option<&str>) -> Page {
        Page {
            origin: origin.map(Into::into),
            host: Some((*b"floe.example").into()),
            verdict: Verdict::Anyone,
        }
    }

    fn pages() -> Pages {
        let origins = vec!["https://app.example".into()];
        Pages {
            listed: [("acme".parse().unwrap(), origins)].into(),
        }
    }

    #[test]
    fn pages_are_judged_where_a_namespace_lists_origins() {
        let judge = |origin, namespace: &str, everywhere: &[&str]| {
            pages().judge(&page(origin), &namespace.parse().unwrap(), everywhere)
        };
        for (origin, everywhere, expected) in [
            (Some("https://app.example"), NONE, Verdict::Listed),
            (Some("https://floe.example"), NONE, Verdict::Listed),
            (Some("https://evil.example"), NONE, Verdict::Unlisted),
            (Some("null"), NONE, Verdict::Unlisted),
            (None, NONE, Verdict::Unlisted),
            (
                Some("https://b.example"),
                &["https://b.example"],
                Verdict::Listed,
            ),
            (
                Some("https://c.example"),
                &["https://b.example"],
                Verdict::Unlisted,
            ),
        ] {
            assert_eq!(judge(origin, "acme", everywhere), expected, "{origin:?}");
            assert_eq!(judge(origin, "other", everywhere), Verdict::Anyone);
        }
    }

    #[test]
    fn an_answer_says_what_was_judged() {
        let said = |origin, verdict, asked| {
            let page = Page {
                verdict,
                ..page(origin)
            };
            match cors(Some(&page), asked) {
                Cors::Listed(origin) => format!("listed {origin}"),
                other @ (Cors::Unasked | Cors::Anyone | Cors::Unlisted) => format!("{other:?}"),
            }
        };
        assert_eq!(cors(None, false), Cors::Unasked);
        assert_eq!(cors(None, true), Cors::Anyone);
        let origin = Some("https://a");
        assert_eq!(said(origin, Verdict::Anyone, true), "Anyone");
        assert_eq!(said(None, Verdict::Anyone, false), "Unasked");
        assert_eq!(said(origin, Verdict::Listed, true), "listed https://a");
        assert_eq!(said(origin, Verdict::Unlisted, true), "Unlisted");
        assert_eq!(said(None, Verdict::Unlisted, false), "Unlisted");
    }
}
