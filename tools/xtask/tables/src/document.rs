//! Files, and the marks in them.

use std::{fs, io};

/// A file with parts that are generated.
pub(crate) struct Document {
    /// Where it is, from the root of the repository.
    pub(crate) path: &'static str,
    /// The parts.
    pub(crate) sections: &'static [Section],
}

/// A part of a file.
pub(crate) struct Section {
    /// What the marks call it.
    pub(crate) name: &'static str,
    /// What belongs between them.
    pub(crate) text: fn() -> String,
}

impl Section {
    fn marks(&self) -> [String; 2] {
        [format!("<!-- generated:{} -->\n", self.name), format!("<!-- end:{} -->\n", self.name)]
    }

    /// The file with this section as it should be.
    fn renew(&self, file: &str) -> Result<String, String> {
        let [begin, end] = self.marks();
        let missing = |mark: &str| {
            format!("the line {} is missing. Put it back, where the table belongs.", mark.trim())
        };
        let (before, rest) = file.split_once(&begin).ok_or_else(|| missing(&begin))?;
        let (_, after) = rest.split_once(&end).ok_or_else(|| missing(&end))?;
        Ok(format!("{before}{begin}\n{}\n{end}{after}", (self.text)()))
    }
}

impl Document {
    /// Fails if a section is not as it should be.
    pub(crate) fn check(&self) -> Result<(), String> {
        let path = self.path;
        let file = self.read()?;
        let file =
            file.ok_or_else(|| format!("{path} is missing. Write it: cargo xtask tables"))?;
        let stale: Vec<&str> = self
            .sections
            .iter()
            .map(|section| Ok((section.name, self.renew(section, &file)? == file)))
            .collect::<Result<Vec<_>, String>>()?
            .into_iter()
            .filter_map(|(name, fresh)| (!fresh).then_some(name))
            .collect();
        if stale.is_empty() {
            return Ok(());
        }
        Err(format!(
            "In {path}, not as the code says: {}. Write it: cargo xtask tables",
            stale.join(", ")
        ))
    }

    /// Renews the sections.
    pub(crate) fn write(&self) -> Result<(), String> {
        let file = self.read()?.unwrap_or_else(|| beginning(self.sections));
        let mut sections = self.sections.iter();
        let renewed = sections.try_fold(file, |file, section| self.renew(section, &file))?;
        fs::write(self.path, renewed).map_err(|error| self.unusable(&error))
    }

    fn renew(&self, section: &Section, file: &str) -> Result<String, String> {
        section.renew(file).map_err(|error| format!("{}: {error}", self.path))
    }

    /// The content of the file, if there is one.
    fn read(&self) -> Result<Option<String>, String> {
        match fs::read_to_string(self.path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.unusable(&error)),
        }
    }

    fn unusable(&self, error: &io::Error) -> String {
        format!("{} cannot be used: {error}. Run this at the root of the repository.", self.path)
    }
}

fn beginning(sections: &[Section]) -> String {
    let marks = sections.iter().map(|section| section.marks().concat());
    format!("# Strongroom\n\n{}", marks.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTION: Section = Section { name: "one", text: || "new\n".to_owned() };

    #[test]
    fn what_is_between_the_marks_is_replaced() {
        let file = "a\n<!-- generated:one -->\nold\n<!-- end:one -->\nb\n";
        let renewed = SECTION.renew(file).unwrap();
        assert_eq!(renewed, "a\n<!-- generated:one -->\n\nnew\n\n<!-- end:one -->\nb\n");
        assert_eq!(SECTION.renew(&renewed).unwrap(), renewed);
    }

    #[test]
    fn a_missing_mark_is_named() {
        let error = SECTION.renew("a\n<!-- generated:one -->\n").unwrap_err();
        assert!(error.contains("<!-- end:one -->"), "{error}");
    }
}
