//! Whether the time that a refusal takes tells what nobody must learn by it.
//!
//! After dudect (Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?", 2017): requests of two
//! classes come in random order, and Welch's t-test says whether their times have the same mean. It is taken of
//! all times and of the shorter ones alone, in several cuts, since what else the machine does makes a few of
//! them long; the largest |t| counts. Below 4.5 nothing is to be seen, above 10 the classes are told apart.
//!
//! Two rows say what the others are worth: the same class twice, which must not be told apart, and a comparison
//! that ends at the first difference, which must be.
//!
//!     cargo bench --bench constant_time -- 1000000
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "this is what it is for")]

mod support;

use std::{
    env,
    hash::{BuildHasher, RandomState},
    hint::black_box,
    time::Instant,
};

use support::{Call, Case, DYNAMODB, Known, PRESIGNED, PRESIGNED_WITH_TOKEN, S3_GET, Server};

fn main() {
    let mut arguments = env::args().skip(1);
    let count = arguments.find_map(|argument| argument.parse().ok());
    let is_test = env::args().any(|argument| argument == "--test");
    let count = count.unwrap_or(if is_test { 1_000 } else { 200_000 });
    println!("{count} refusals of each class");
    println!("{:58}{:>10}{:>18}", "classes", "|t|", "difference, ns");
    for (title, case, known) in KEYS {
        print(title, &measured(count, keys(&case, known)));
    }
    for (title, case, find) in TEXTS {
        print(title, &measured(count, texts(&case, find)));
    }
    print("control: a comparison that ends early", &measured(count, early_end()));
}

/// Two refusals of one request, by what the server knows of the key.
const KEYS: [(&str, Case, [Known; 2]); 5] = [
    ("control: the same class twice", S3_GET, [Known::Well; 2]),
    ("key that nobody has, wrong signature: S3 GET", S3_GET, [Known::Nobody, Known::Well]),
    ("the same: DynamoDB POST", DYNAMODB, [Known::Nobody, Known::Well]),
    ("the same: presigned", PRESIGNED, [Known::Nobody, Known::Well]),
    ("wrong token, wrong signature", DYNAMODB, [Known::WithAnotherToken, Known::Well]),
];

/// The same refusal of two requests, in which the first byte of a text differs, or the last.
const TEXTS: [(&str, Case, Find); 4] = [
    ("signature, first digit or last", S3_GET, |call| {
        behind(header(call, "authorization"), SIGNATURE, 64)
    }),
    ("signature in a query, first digit or last", PRESIGNED, |call| {
        behind(query(call), SIGNATURE, 64)
    }),
    ("session token, first byte or last", DYNAMODB, |call| {
        let token = header(call, "x-amz-security-token");
        let len = token.len();
        (token, 0, len - 1)
    }),
    ("session token in a query, first byte or last", PRESIGNED_WITH_TOKEN, |call| {
        behind(query(call), "X-Amz-Security-Token=", 700)
    }),
];

/// A text of a request, and two of its places.
type Find = fn(&mut Call) -> (&mut String, usize, usize);

const SIGNATURE: &str = "Signature=";

fn header<'c>(call: &'c mut Call, name: &str) -> &'c mut String {
    let found = call.headers.iter_mut().find(|(other, _)| *other == name);
    &mut found.expect("the request has the header").1
}

fn query(call: &mut Call) -> &mut String {
    call.query.as_mut().expect("the request has a query")
}

/// The first and the last place of the `len` bytes behind `name`.
fn behind<'c>(text: &'c mut String, name: &str, len: usize) -> (&'c mut String, usize, usize) {
    let first = text.rfind(name).expect("the text holds the name") + name.len();
    (text, first, first + len - 1)
}

fn keys(case: &Case, known: [Known; 2]) -> impl FnMut(usize) -> u64 + use<> {
    let mut server = Server::new(case).with_another_key();
    let call = case.signed_call(0);
    move |class| refusal(&mut server, &call, known[class])
}

fn texts(case: &Case, find: Find) -> impl FnMut(usize) -> u64 + use<> {
    let mut server = Server::new(case);
    let mut call = case.signed_call(0);
    let (text, first, last) = find(&mut call);
    let variants = [first, last].map(|at| {
        let mut text = text.clone();
        let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
        text.replace_range(at..=at, other);
        text
    });
    move |class| {
        // Both classes are in the same place in memory, and were written there in the same way.
        find(&mut call).0.replace_range(.., &variants[class]);
        refusal(&mut server, &call, Known::Well)
    }
}

/// How long it takes to refuse a request.
fn refusal(server: &mut Server, call: &Call, known: Known) -> u64 {
    let pairs = call.pairs();
    let head = call.received(&pairs);
    let start = Instant::now();
    let result = black_box(server.try_verify(head, &call.body, call.at, known));
    let took = start.elapsed();
    assert!(result.is_err(), "the request is refused");
    took.as_nanos() as u64
}

fn early_end() -> impl FnMut(usize) -> u64 {
    let right = vec![b'x'; 800];
    let mut other = right.clone();
    move |class| {
        other.fill(b'x');
        other[[0, 799][class]] = b'y';
        let (right, other) = (black_box(&right), black_box(&other));
        let start = Instant::now();
        let differs = right.iter().zip(other).position(|(a, b)| a != b);
        let took = start.elapsed();
        assert!(black_box(differs).is_some(), "one byte differs");
        took.as_nanos() as u64
    }
}

/// Times of both classes, so many of each on average, in random order.
fn measured(count: usize, mut time: impl FnMut(usize) -> u64) -> [Vec<u64>; 2] {
    (0..count / 10).for_each(|n| _ = black_box(time(n % 2)));
    let random = RandomState::new();
    let mut times = [Vec::with_capacity(count), Vec::with_capacity(count)];
    for n in 0..2 * count {
        let class = (random.hash_one(n) & 1) as usize;
        times[class].push(time(class));
    }
    times
}

fn print(title: &str, times: &[Vec<u64>; 2]) {
    let (t, difference) = largest(times);
    println!("{title:58}{t:>10.1}{difference:>18.2}");
}

/// The largest |t|, and the difference between the means of the shorter half of each class.
fn largest(times: &[Vec<u64>; 2]) -> (f64, f64) {
    let mut all: Vec<u64> = times.concat();
    all.sort_unstable();
    let up_to = |part: f64| all[((all.len() - 1) as f64 * part) as usize];
    let cut = |longest: u64| {
        times.each_ref().map(|times| {
            let kept = times.iter().filter(|&&time| time <= longest);
            Moments::of(kept.map(|&time| time as f64))
        })
    };
    let [a, b] = times.each_ref().map(|times| {
        let mut times = times.clone();
        times.sort_unstable();
        let half = &times[..times.len().div_ceil(2)];
        half.iter().sum::<u64>() as f64 / half.len() as f64
    });
    let cuts = [0.25, 0.5, 0.75, 0.9, 0.99, 1.0].map(|part| welch(&cut(up_to(part))).abs());
    (cuts.into_iter().fold(0.0, f64::max), b - a)
}

/// Mean and variance of some numbers.
struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(numbers: impl Iterator<Item = f64> + Clone) -> Moments {
        let count = numbers.clone().count() as f64;
        let mean = numbers.clone().sum::<f64>() / count;
        let variance = numbers.map(|number| (number - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Moments { count, mean, variance }
    }
}

fn welch([a, b]: &[Moments; 2]) -> f64 {
    (b.mean - a.mean) / (a.variance / a.count + b.variance / b.count).sqrt()
}
