//! A simulated VMware estate.
