//! CDR the plain way, to hold the decoder against: one value after the other.

/// Writes a message in either byte order.
pub struct Encoder {
    bytes: Vec<u8>,
    order: ByteOrder,
    /// What stands where no value is: in padding, and for a message without fields.
    filler: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    Little,
    Big,
}

const HEADER_BYTES: usize = 4;

impl Encoder {
    pub fn new(order: ByteOrder) -> Self {
        Self { bytes: vec![0, u8::from(order == ByteOrder::Little), 0, 0], order, filler: 0xAA }
    }

    /// As ROS 2 writes messages on today's machines.
    pub fn of_ros() -> Self {
        Self { filler: 0, ..Self::new(ByteOrder::Little) }
    }

    /// A message without fields.
    pub fn nothing(&mut self) -> &mut Self {
        self.bytes.push(self.filler);
        self
    }

    /// A number, given as its little-endian bytes: `1.5f64.to_le_bytes()`.
    pub fn number<const N: usize>(&mut self, mut le_bytes: [u8; N]) -> &mut Self {
        while !(self.bytes.len() - HEADER_BYTES).is_multiple_of(N) {
            self.bytes.push(self.filler);
        }
        if self.order == ByteOrder::Big {
            le_bytes.reverse();
        }
        self.bytes.extend(le_bytes);
        self
    }

    pub fn f64s(&mut self, numbers: &[f64]) -> &mut Self {
        for number in numbers {
            self.number(number.to_le_bytes());
        }
        self
    }

    pub fn length(&mut self, length: usize) -> &mut Self {
        self.number(u32::try_from(length).unwrap().to_le_bytes())
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.length(text.len() + 1);
        self.bytes.extend(text.bytes());
        self.bytes.push(0);
        self
    }

    /// `sec`, `nanosec` and `frame_id`.
    pub fn header(&mut self, sec: i32, nanosec: u32, frame_id: &str) -> &mut Self {
        self.number(sec.to_le_bytes()).number(nanosec.to_le_bytes()).text(frame_id)
    }

    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self
    }

    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

/// A little-endian message.
pub fn encode(write: impl FnOnce(&mut Encoder) -> &mut Encoder) -> Vec<u8> {
    write(&mut Encoder::new(ByteOrder::Little)).finish()
}
