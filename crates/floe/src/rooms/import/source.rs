//! The rows of a file, as it has them.

use std::io::BufReader;
use std::rc::Rc;

use anyhow::{Context, bail};
use csv::ByteRecord;

use super::input::{Input, Position};
use super::values::Values;

/// A file whose rows are read one by one.
pub struct Source {
    rows: Rows,
    at: Rc<Position>,
    /// Names of the columns, where the file has them before its rows.
    header: Option<Vec<String>>,
}

enum Rows {
    Csv(csv::Reader<Input>),
    Json(Values<BufReader<Input>>),
}

/// A row as it stands in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The line that it begins in, from 1.
    pub line: u64,
    /// What it has.
    pub data: Data,
}

/// What a row has.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// A cell for each column.
    Cells(ByteRecord),
    /// JSON between braces.
    Object(String),
}

impl Source {
    /// Reads CSV whose first line names the columns.
    pub fn csv(input: Input) -> anyhow::Result<Self> {
        let at = input.position();
        at.count_lines();
        let mut reader = csv::ReaderBuilder::new()
            // A row with too few cells is for us to name.
            .flexible(true)
            .from_reader(input);
        let header = reader.headers().context("the names of the columns")?;
        let header: Vec<_> = header.iter().map(|name| name.trim().to_owned()).collect();
        if header.is_empty() {
            bail!("the file is empty: its first line must name the columns");
        }
        Ok(Self {
            rows: Rows::Csv(reader),
            at,
            header: Some(header),
        })
    }

    /// Reads objects: an array of them, or one after the other.
    pub fn json(input: Input) -> Self {
        let at = input.position();
        Self {
            rows: Rows::Json(Values::new(BufReader::new(input))),
            at,
            header: None,
        }
    }

    /// Returns the names of the columns, where they stand before the rows.
    pub fn header(&self) -> Option<&[String]> {
        self.header.as_deref()
    }

    /// Returns how many bytes were read.
    pub fn bytes(&self) -> u64 {
        self.at.bytes()
    }

    /// Returns the next row.
    ///
    /// # Errors
    /// When the file cannot be read any further.
    pub fn next(&mut self) -> anyhow::Result<Option<Record>> {
        self.at.begin_row();
        match &mut self.rows {
            Rows::Csv(reader) => {
                let mut cells = ByteRecord::new();
                let more = reader.read_byte_record(&mut cells)?;
                // The reader counts no line that ends with a carriage return before its feed.
                let begin = cells.position().map_or(0, csv::Position::byte);
                let line = self.at.line_of(begin);
                let data = Data::Cells(cells);
                Ok(more.then_some(Record { line, data }))
            }
            Rows::Json(values) => Ok(values.next()?.map(|(line, object)| Record {
                line,
                data: Data::Object(object),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::import::input::ROW_BYTES_MAX;
    use std::io::{self, Read};

    #[test]
    fn rows_know_the_line_that_they_begin_in() {
        for end in ["\n", "\r\n"] {
            let text = "\u{feff}id, note\n1,\"two\nlines\"\n\n2,x\n";
            rows_know_their_lines(&text.replace('\n', end));
        }
    }

    fn rows_know_their_lines(text: &str) {
        let text: Vec<u8> = text.into();
        let len = text.len() as u64;
        let text = io::Cursor::new(text);
        let mut source = Source::csv(Input::new(text).unwrap()).unwrap();
        assert_eq!(source.header().unwrap(), ["id", "note"]);
        let mut lines = Vec::new();
        while let Some(record) = source.next().unwrap() {
            let Data::Cells(cells) = record.data else {
                unreachable!("it is CSV");
            };
            lines.push((record.line, cells.len(), cells.get(0).unwrap().to_vec()));
        }
        assert_eq!(lines, [(2, 2, b"1".to_vec()), (5, 2, b"2".to_vec())]);
        assert_eq!(source.bytes(), len);
    }

    #[test]
    fn a_row_without_an_end_is_not_gathered_in_memory() {
        let endless = |start: &'static str| {
            let input = io::Cursor::new(start).chain(io::repeat(b'x'));
            Input::new(input.take(ROW_BYTES_MAX * 4)).unwrap()
        };
        let mut csv = Source::csv(endless("a\n\"")).unwrap();
        assert!(csv.next().unwrap_err().to_string().contains("longer than"));
        assert!(Source::csv(endless("")).is_err());
        let mut json = Source::json(endless("{\""));
        assert!(json.next().unwrap_err().to_string().contains("longer than"));
    }
}
