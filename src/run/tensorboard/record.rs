//! TFRecord: the framing of TensorFlow's files, a length and a text, each with its checksum.
//!
//! Length (u64), masked CRC-32C of the length (u32), text, masked CRC-32C of the text (u32), all little-endian.

/// One record.
pub(super) fn framed(text: &[u8]) -> Vec<u8> {
    let length = (text.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(text.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(text);
    record.extend(masked_crc(text).to_le_bytes());
    record
}

/// Turned and shifted, so that the checksum of a text that holds checksums is no weaker.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bits in the order of RFC 3720.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    /// The polynomial, lowest bit first.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_rfc() {
        // RFC 3720, appendix B.4, and the check value of CRC-32C.
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        for (bytes, expected) in [
            (&[0; 32][..], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
            (&descending, 0x113f_db5c),
            (b"123456789", 0xe306_9283),
            (b"", 0),
        ] {
            assert_eq!(crc32c(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_record_is_framed_as_tensorflow_frames_it() {
        // tensorboard.summary.writer.record_writer.RecordWriter wrote b"x", tensorboard 2.21.0.
        let expected = [1, 0, 0, 0, 0, 0, 0, 0, 1, 117, 222, 65, b'x', 80, 61, 170, 97];
        assert_eq!(framed(b"x"), expected);
    }
}
