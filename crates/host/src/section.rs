//! Custom sections of a component file, read and appended without a parser: a component is eight bytes of header, then
//! sections of an id, a LEB128 length and that many bytes; id 0 is a custom section, which begins with its name.

/// What the first eight bytes say a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Module,
    Component,
    Other,
}

pub(crate) fn kind_of(file: &[u8]) -> FileKind {
    match file.get(..8) {
        Some(b"\0asm\x01\0\0\0") => FileKind::Module,
        Some(b"\0asm\x0d\0\x01\0") => FileKind::Component,
        _ => FileKind::Other,
    }
}

/// The contents of the first custom section of this name at the file's top level.
pub(crate) fn find<'f>(file: &'f [u8], name: &str) -> Option<&'f [u8]> {
    let mut rest = file.get(8..)?;
    while let Some((&id, after)) = rest.split_first() {
        let (length, after) = leb128(after)?;
        let (section, next) = after.split_at_checked(length)?;
        rest = next;
        if id == 0 {
            let (length, section) = leb128(section)?;
            let (own, contents) = section.split_at_checked(length)?;
            if own == name.as_bytes() {
                return Some(contents);
            }
        }
    }
    None
}

/// Appends a custom section.
pub(crate) fn append(file: &mut Vec<u8>, name: &str, contents: &[u8]) {
    let mut section = Vec::with_capacity(contents.len() + name.len() + 5);
    push_leb128(&mut section, name.len());
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(contents);
    file.push(0);
    push_leb128(file, section.len());
    file.extend_from_slice(&section);
}

/// An unsigned LEB128 number of at most 32 bits.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[index + 1..]));
        }
    }
    None
}

fn push_leb128(to: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            return to.push(byte);
        }
        to.push(byte | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A section that was appended is found again behind others, whatever its length; garbage gives none.
    #[test]
    fn sections_are_found_again() {
        for length in [0, 1, 127, 128, 20_000] {
            let mut file = b"\0asm\x0d\0\x01\0".to_vec();
            append(&mut file, "producers", &[7; 300]);
            append(&mut file, "weir:description", &vec![9; length]);
            assert_eq!(
                find(&file, "weir:description"),
                Some(vec![9; length].as_slice())
            );
            assert_eq!(find(&file, "other"), None);
            file.truncate(file.len() - 1);
            assert_eq!(
                find(&file, "weir:description"),
                None,
                "a cut file has no whole section"
            );
        }
        assert_eq!(find(b"\0asm", "x"), None);
        assert_eq!(kind_of(b"\0asm\x0d\0\x01\0"), FileKind::Component);
        assert_eq!(kind_of(b"#!/bin/sh\n"), FileKind::Other);
    }
}
