//! Input that is read line by line.

use std::io::{self, BufRead, Read};

/// What came of reading a line.
pub(crate) enum Line {
    End,
    TooLong,
    Whole,
}

/// Reads one line without its end; of one that is too long, the rest is skipped.
pub(crate) fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    let read = input.by_ref().take(LONGEST + 1).read_until(b'\n', line)?;
    if read == 0 {
        return Ok(Line::End);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Line::Whole);
    }
    if line.len() as u64 <= LONGEST {
        return Ok(Line::Whole);
    }
    input.skip_until(b'\n')?;
    Ok(Line::TooLong)
}

/// 64 MiB.
pub(crate) const LONGEST: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_up_to_their_limit() {
        let long = vec![b'x'; LONGEST as usize + 1];
        let mut input = io::Cursor::new([&long[..], b"\nnext\nlast"].concat());
        let mut line = Vec::new();
        assert!(matches!(read_line(&mut input, &mut line), Ok(Line::TooLong)));
        for expected in [&b"next"[..], b"last"] {
            line.clear();
            assert!(matches!(read_line(&mut input, &mut line), Ok(Line::Whole)));
            assert_eq!(line, expected);
        }
        assert!(matches!(read_line(&mut input, &mut line), Ok(Line::End)));
    }
}
