//! Answers, taken apart.

use serde_json::Value;

/// An answer.
#[derive(Clone)]
pub struct Response {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Reads the head of an answer, without its empty line.
    #[track_caller]
    pub fn parse(head: &[u8]) -> Self {
        let head = std::str::from_utf8(head).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap();
        let status = status.strip_prefix("HTTP/1.1 ").expect(status);
        let fields = lines.filter(|line| !line.is_empty()).map(|line| {
            let (name, value) = line.split_once(": ").expect(line);
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Self {
            status: status[..3].parse().unwrap(),
            fields: fields.collect(),
            body: Vec::new(),
        }
    }

    /// Returns the value of a field, which stands there once at most.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice: {self:?}");
        value
    }

    /// Checks the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Checks the status and that the body says why, in the form that all errors have.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status, self.code().as_str()),
            (status, code),
            "{self:?}"
        );
        self
    }

    /// Returns the code in an error's body, and checks that the answer has an error's form.
    #[track_caller]
    pub fn code(&self) -> String {
        assert!(self.status >= 400, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        let body = self.json();
        assert!(!body["message"].as_str().unwrap().is_empty(), "{self:?}");
        body["code"].as_str().unwrap().to_owned()
    }

    /// Returns `Stream-Next-Offset`.
    #[track_caller]
    pub fn next(&self) -> &str {
        self.header("stream-next-offset")
            .unwrap_or_else(|| panic!("no offset: {self:?}"))
    }

    /// Returns whether `Stream-Closed` is there.
    #[track_caller]
    pub fn is_closed(&self) -> bool {
        self.header("stream-closed").is_some_and(|value| {
            assert_eq!(value, "true");
            true
        })
    }

    /// Returns whether `Stream-Up-To-Date` is there.
    #[track_caller]
    pub fn is_up_to_date(&self) -> bool {
        self.header("stream-up-to-date").is_some_and(|value| {
            assert_eq!(value, "true");
            true
        })
    }

    #[track_caller]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.fields {
            writeln!(f, "{name}: {value}")?;
        }
        let shown = &self.body[..self.body.len().min(2_000)];
        write!(f, "\n{}", String::from_utf8_lossy(shown))
    }
}
