//! Lotse.
