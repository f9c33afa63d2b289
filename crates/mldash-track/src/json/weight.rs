//! How much memory a JSON text takes once it is parsed, at most. A few bytes of text can become many
//! in memory: each item of a list and each key of a dict has a place of its own.
//!
//! The text is only scanned, not checked. What a parser refuses may have any weight.

/// An item of a list of one kind of number, which becomes a typed array. Twice its size, since lists
/// grow by doubling.
const NUMBER_BYTES: usize = 2 * size_of::<f64>();
/// Any other item of a list, likewise.
const ITEM_BYTES: usize = 96;
/// A key and the place of its value.
const KEY_BYTES: usize = 192;
/// A dict in a row, and the first node of one's tree in `serde_json`.
const ROW_DICT_BYTES: usize = 64;
const TREE_DICT_BYTES: usize = 768;
/// What the allocator adds to a text.
const TEXT_BYTES: usize = 32;
/// Levels that are looked at one by one. Parsers refuse deeper ones.
const MAX_LEVELS: usize = 256;

/// Scans a text in pieces.
#[derive(Debug)]
pub struct JsonWeight {
    bytes: usize,
    dict_bytes: usize,
    key_bytes: usize,
    levels: Vec<Level>,
    /// Levels above [`MAX_LEVELS`].
    unseen: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Between,
    Text,
    Escape,
    Number {
        is_whole: bool,
    },
    /// `null`, `true` or `false`.
    Word,
}

/// A list or a dict that has begun.
#[derive(Debug, Default)]
struct Level {
    is_dict: bool,
    items: usize,
    wholes: usize,
    floats: usize,
}

impl JsonWeight {
    /// For texts that become rows.
    pub fn rows() -> Self {
        Self::new(ROW_DICT_BYTES, KEY_BYTES)
    }

    /// For texts that become values of `serde_json`.
    pub fn tree() -> Self {
        Self::new(TREE_DICT_BYTES, KEY_BYTES)
    }

    /// For texts whose dicts become structs of `struct_bytes`, which keep no keys, and that are written once more to be checked:
    /// what the keys' texts weigh is for that.
    pub(crate) fn structs(struct_bytes: usize) -> Self {
        Self::new(struct_bytes, 0)
    }

    fn new(dict_bytes: usize, key_bytes: usize) -> Self {
        Self {
            bytes: 0,
            dict_bytes,
            key_bytes,
            levels: Vec::new(),
            unseen: 0,
            state: State::default(),
        }
    }

    /// The weight of a whole text as values of `serde_json`.
    pub fn of(text: &[u8]) -> usize {
        let mut weight = Self::tree();
        weight.scan(text);
        weight.bytes()
    }

    /// The weight of the text so far.
    pub fn bytes(&self) -> usize {
        self.levels.iter().map(Level::bytes).fold(self.bytes, usize::saturating_add)
    }

    /// Adds the next piece of the text.
    pub fn scan(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some((byte, after)) = rest.split_first() {
            match self.state {
                State::Text => {
                    let end = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                    self.add(end);
                    rest = &rest[end..];
                    if let Some((byte, after)) = rest.split_first() {
                        self.state = if *byte == b'"' { State::Between } else { State::Escape };
                        rest = after;
                    }
                    continue;
                }
                State::Escape => {
                    self.add(1);
                    self.state = State::Text;
                }
                State::Number { is_whole } => match byte {
                    b'0'..=b'9' | b'-' => {}
                    byte if ends_word(*byte) => {
                        self.count_number(is_whole);
                        self.state = State::Between;
                        continue;
                    }
                    _ => self.state = State::Number { is_whole: false },
                },
                State::Word if ends_word(*byte) => {
                    self.state = State::Between;
                    continue;
                }
                State::Word => {}
                State::Between => self.begin(*byte),
            }
            rest = after;
        }
    }

    fn begin(&mut self, byte: u8) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => {}
            b'"' => {
                self.count_item();
                self.add(TEXT_BYTES);
                self.state = State::Text;
            }
            // The text before it was a key.
            b':' => self.add(self.key_bytes),
            b'[' | b'{' => {
                self.count_item();
                let is_dict = byte == b'{';
                self.add(if is_dict { self.dict_bytes } else { 0 });
                match self.levels.len() < MAX_LEVELS {
                    true => self.levels.push(Level { is_dict, ..Level::default() }),
                    false => self.unseen += 1,
                }
            }
            b']' | b'}' => match self.unseen.checked_sub(1) {
                Some(left) => self.unseen = left,
                None => {
                    let ended = self.levels.pop().map_or(0, |level| level.bytes());
                    self.add(ended);
                }
            },
            b'0'..=b'9' => self.state = State::Number { is_whole: true },
            // The signed infinity is no whole number, which its letters show.
            b'-' => self.state = State::Number { is_whole: true },
            b'N' | b'I' => self.state = State::Number { is_whole: false },
            _ => {
                self.count_item();
                self.state = State::Word;
            }
        }
    }

    fn count_number(&mut self, is_whole: bool) {
        self.count_item();
        if let Some(level) = self.levels.last_mut() {
            level.wholes += usize::from(is_whole);
            level.floats += usize::from(!is_whole);
        }
    }

    fn count_item(&mut self) {
        match self.levels.last_mut() {
            Some(level) if self.unseen == 0 => level.items += 1,
            _ => self.add(ITEM_BYTES),
        }
    }

    fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Level {
    fn bytes(&self) -> usize {
        let is_typed = self.items == self.wholes || self.items == self.floats;
        match (self.is_dict, is_typed) {
            // Counted with the keys.
            (true, _) => 0,
            (false, true) => self.items.saturating_mul(NUMBER_BYTES),
            (false, false) => self.items.saturating_mul(ITEM_BYTES),
        }
    }
}

fn ends_word(byte: u8) -> bool {
    matches!(byte, b',' | b':' | b'[' | b']' | b'{' | b'}' | b'"' | b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_lists_weigh_their_numbers_and_mixed_ones_a_place_each() {
        let list = |item: &str| format!("[{}]", vec![item; 1000].join(","));
        let weight = |text: &str| JsonWeight::of(text.as_bytes());
        assert!(weight(&list("7")) < 20 * 1000);
        assert!(weight(&list("0.5")) < 20 * 1000);
        assert!(weight(&list("NaN")) < 20 * 1000);
        for other in ["null", "[]", "7,0.5", "\"\""] {
            assert!(weight(&list(other)) >= 96 * 1000, "{other}");
        }
        assert!(weight(&list("{\"\":0}")) >= 768 * 1000);
    }

    #[test]
    fn the_weight_is_the_same_in_whatever_pieces_the_text_comes() {
        let text =
            br#"{"timestamp":-1.5e3,"a":[1,2,{"b":"x\\\"[,"},null,-Infinity],"c":[true,[]]}"#;
        for cut in 0..text.len() {
            let mut weight = JsonWeight::tree();
            weight.scan(&text[..cut]);
            weight.scan(&text[cut..]);
            assert_eq!(weight.bytes(), JsonWeight::of(text), "{cut}");
        }
    }

    #[test]
    fn what_stands_in_a_text_is_no_structure() {
        let text = format!("\"{}\"", "[{:,".repeat(1000));
        assert!(JsonWeight::of(text.as_bytes()) < 5000);
    }

    #[test]
    fn no_nesting_is_too_deep_to_be_weighed() {
        let text = "[".repeat(1_000_000);
        assert!(JsonWeight::of(text.as_bytes()) >= 1_000_000 * ITEM_BYTES);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_fail(text: Vec<u8>) {
            JsonWeight::of(&text);
        }
    }
}
