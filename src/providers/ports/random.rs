//! Chance, as providers see it.

/// A source of chance: for the jitter between attempts, and for identifiers.
///
/// A function is one:
///
/// ```
/// use countersign::providers::Random;
///
/// let nines = |bytes: &mut [u8]| bytes.fill(9);
/// let mut bytes = [0; 2];
/// nines.fill(&mut bytes);
/// assert_eq!(bytes, [9, 9]);
/// ```
pub trait Random: Send + Sync {
    /// Fills all of `bytes`, so that nobody can guess them.
    fn fill(&self, bytes: &mut [u8]);
}

impl<F: Fn(&mut [u8]) + Send + Sync> Random for F {
    fn fill(&self, bytes: &mut [u8]) {
        self(bytes);
    }
}
