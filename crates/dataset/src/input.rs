//! Bytes out of a file: gunzipped, byte order mark removed.

use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

/// A decompressed, buffered file.
pub(crate) type Input = BufReader<Box<dyn Read + Send>>;

const BUFFER: usize = 64 * 1024;

/// Opens a file for reading as UTF-8 text. Compression is told by the first bytes, not by the name.
///
/// # Errors
/// The operating system's, and `InvalidData` for UTF-16.
pub(crate) fn open(path: &Path) -> io::Result<Input> {
    let (magic, file) = peek(File::open(path)?)?;
    let plain: Box<dyn Read + Send> = if magic.starts_with(&[0x1f, 0x8b]) {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file)))
    } else {
        Box::new(file)
    };
    let (start, plain) = peek(plain)?;
    if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
        let what = "the file is UTF-16: save it as UTF-8";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut input = BufReader::with_capacity(BUFFER, Box::new(plain) as Box<dyn Read + Send>);
    if start == [0xef, 0xbb, 0xbf] {
        input.read_exact(&mut [0; 3])?;
    }
    Ok(input)
}

/// The first three bytes, and a reader that still yields them.
fn peek<R: Read>(mut reader: R) -> io::Result<(Vec<u8>, impl Read)> {
    let mut start = Vec::with_capacity(3);
    reader.by_ref().take(3).read_to_end(&mut start)?;
    Ok((start.clone(), Cursor::new(start).chain(reader)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    fn read(bytes: &[u8]) -> io::Result<String> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), bytes)?;
        let mut text = String::new();
        open(file.path())?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn a_byte_order_mark_is_removed_and_short_files_are_whole() {
        assert_eq!(read(b"\xef\xbb\xbfab").unwrap(), "ab");
        assert_eq!(read(b"ab").unwrap(), "ab");
        assert_eq!(read(b"").unwrap(), "");
    }

    #[test]
    fn gzip_of_several_members_is_read_whole() {
        let mut bytes = Vec::new();
        for part in ["\u{feff}one ", "two"] {
            let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
            gz.write_all(part.as_bytes()).unwrap();
            bytes.extend(gz.finish().unwrap());
        }
        assert_eq!(read(&bytes).unwrap(), "one two");
        assert!(read(&bytes[..bytes.len() - 4]).is_err());
    }

    #[test]
    fn utf_16_is_named() {
        let error = read(b"\xff\xfea\0b\0").unwrap_err();
        insta::assert_snapshot!(error, @"the file is UTF-16: save it as UTF-8");
    }
}
