//! Server-sent events from the bytes they come in, as the HTML standard parses them. Knows no JSON and no
//! clock.

/// An event of more bytes than that is an attack: a picture of 16 megapixels is smaller.
const MAX_EVENT_BYTES: usize = 128 << 20;

/// What a server sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// Empty where it has none.
    pub(crate) name: String,
    /// Its lines of data.
    pub(crate) data: String,
}

/// The bytes are no events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EventError {
    #[error("an event of more than {MAX_EVENT_BYTES} bytes")]
    TooLong,
    #[error("a line that is not UTF-8")]
    NotUtf8,
}

/// Takes bytes in any pieces and gives events back.
#[derive(Debug, Default)]
pub(crate) struct EventLines {
    line: Vec<u8>,
    /// The last line ended with CR, so a LF that follows belongs to it.
    after_cr: bool,
    data: Option<String>,
    name: String,
}

impl EventLines {
    /// The events that `bytes` complete, in order.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, EventError> {
        let mut events = Vec::new();
        if self.after_cr && bytes.first() == Some(&b'\n') {
            bytes = &bytes[1..];
        }
        self.after_cr &= bytes.is_empty();
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.extend(&bytes[..end])?;
            let line = std::mem::take(&mut self.line);
            events.extend(self.finish_line(&line)?);
            let mut next = end + 1;
            if bytes[end] == b'\r' {
                match bytes.get(next) {
                    Some(b'\n') => next += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            bytes = &bytes[next..];
        }
        self.extend(bytes)?;
        Ok(events)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), EventError> {
        let held = self.line.len() + self.data.as_ref().map_or(0, String::len);
        if held + bytes.len() > MAX_EVENT_BYTES {
            return Err(EventError::TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn finish_line(&mut self, line: &[u8]) -> Result<Option<Event>, EventError> {
        let line = std::str::from_utf8(line).map_err(|_not_text| EventError::NotUtf8)?;
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            return Ok(self.data.take().map(|data| Event { name, data }));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "event" => value.clone_into(&mut self.name),
            _comment_or_unknown => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(events: &[Event]) -> Vec<&str> {
        events.iter().map(|event| event.data.as_str()).collect()
    }

    #[test]
    fn events_are_the_same_in_any_pieces() {
        let text = ": hello\ndata: one\n\nevent: error\r\ndata: two\r\ndata:three\r\n\r\ndata\r\rid: 4\n\ndata: é\n\nlost";
        let whole = EventLines::default().push(text.as_bytes()).unwrap();
        assert_eq!(data(&whole), ["one", "two\nthree", "", "é"]);
        assert_eq!(whole[1].name, "error");
        assert!(whole[3].name.is_empty());
        for size in 1..text.len() {
            let mut lines = EventLines::default();
            let pieces = text.as_bytes().chunks(size);
            let events: Vec<_> = pieces.flat_map(|piece| lines.push(piece).unwrap()).collect();
            assert_eq!(events, whole, "in pieces of {size}");
        }
    }

    #[test]
    fn a_picture_of_megabytes_is_one_event() {
        let picture = "x".repeat(3 << 20);
        let text = format!("data: {picture}\n\n");
        let mut lines = EventLines::default();
        let pieces = text.as_bytes().chunks(16 << 10);
        let events: Vec<_> = pieces.flat_map(|piece| lines.push(piece).unwrap()).collect();
        assert_eq!(data(&events), [picture]);
    }

    #[test]
    fn what_is_no_text_or_never_ends_is_an_error() {
        assert_eq!(EventLines::default().push(b"data: \xff\n"), Err(EventError::NotUtf8));
        let mut lines = EventLines::default();
        let piece = vec![b'x'; 64 << 20];
        assert_eq!(lines.push(&piece), Ok(Vec::new()));
        assert_eq!(lines.push(&piece), Ok(Vec::new()));
        assert_eq!(lines.push(b"x"), Err(EventError::TooLong));
    }
}
