//! New input from old: bits and bytes changed, pieces left out, repeated, and put together from two inputs, words of the
//! target put in, numbers turned into those that break things.

use rand::RngExt as _;
use rand::rngs::StdRng;

/// No input is longer.
pub const MOST_BYTES: usize = 64 * 1024;

/// Numbers at which programs break.
const NUMBERS: [&str; 16] = [
    "0",
    "-1",
    "1",
    "255",
    "256",
    "65536",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775808",
    "1e308",
    "-0.0",
    "0.1",
];

/// Bytes at which programs break.
const BYTES: [u8; 12] = [0, 0x7f, 0x80, 0xff, 0xc3, 0xed, b'"', b'\\', b'\n', b'{', b',', b';'];

/// Makes inputs.
#[derive(Debug)]
pub struct Mutator<'a> {
    /// Where chance comes from.
    pub random: StdRng,
    /// Words of the language that the target reads.
    pub words: &'a [&'a str],
}

impl Mutator<'_> {
    /// A new input from one or two of the corpus.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.choose(corpus).to_vec();
        for _ in 0..=self.random.random_range(0..6) {
            self.change(&mut input, corpus);
        }
        input.truncate(MOST_BYTES);
        input
    }

    fn choose<'c>(&mut self, corpus: &'c [Vec<u8>]) -> &'c [u8] {
        if corpus.is_empty() { &[] } else { &corpus[self.random.random_range(0..corpus.len())] }
    }

    /// A range of the input, more often short than long.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        if length == 0 {
            return 0..0;
        }
        let begin = self.random.random_range(0..length);
        let most = length - begin;
        let most = if self.random.random() { most.min(16) } else { most };
        begin..begin + self.random.random_range(0..=most)
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.random.random_range(0..=input.len());
        match self.random.random_range(0..11) {
            0 if at < input.len() => input[at] ^= 1 << self.random.random_range(0..8),
            1 if at < input.len() => input[at] = BYTES[self.random.random_range(0..BYTES.len())],
            2 if at < input.len() => input[at] = self.random.random(),
            3 => {
                let range = self.range(input.len());
                input.drain(range);
            }
            4 => {
                let range = self.range(input.len());
                let piece = input[range].to_vec();
                input.splice(at..at, piece);
            }
            5 => self.repeat(input, at),
            6 => {
                let other = self.choose(corpus).to_vec();
                let range = self.range(other.len());
                let mine = at..at + self.range(input.len() - at).len();
                input.splice(mine, other[range].iter().copied());
            }
            7 => self.number(input),
            8 => input.truncate(at),
            _ if !self.words.is_empty() => {
                let word = self.words[self.random.random_range(0..self.words.len())];
                input.splice(at..at, word.bytes());
            }
            _ => {}
        }
    }

    /// A piece again and again: depth, length, many of something.
    fn repeat(&mut self, input: &mut Vec<u8>, at: usize) {
        let range = self.range(input.len());
        let piece = input[range].to_vec();
        if piece.is_empty() {
            return;
        }
        let most = (MOST_BYTES / piece.len()).min(4_096);
        let times = 1 << self.random.random_range(1..=most.max(2).ilog2());
        let many = piece.repeat(times);
        input.splice(at..at, many);
    }

    /// A number becomes another one.
    fn number(&mut self, input: &mut Vec<u8>) {
        let digits: Vec<usize> = (0..input.len()).filter(|at| input[*at].is_ascii_digit()).collect();
        if digits.is_empty() {
            return;
        }
        let begin = digits[self.random.random_range(0..digits.len())];
        let end = begin + input[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = NUMBERS[self.random.random_range(0..NUMBERS.len())];
        input.splice(begin..end, number.bytes());
    }
}
