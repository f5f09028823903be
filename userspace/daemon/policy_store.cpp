// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/policy_store.h"

#include "userspace/daemon/files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <sstream>
#include <utility>

namespace penstock::daemon {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t largest_file = 64 * 1024 * 1024;
constexpr std::size_t largest_set = 512 * 1024 * 1024;
constexpr std::string_view accepted_head = "penstock accepted 1\n";

policy::Diagnostic unreadable(const std::string &file, const std::string &message, bool error = true) {
    policy::Diagnostic diagnostic;
    diagnostic.severity = error ? policy::Diagnostic::Severity::error : policy::Diagnostic::Severity::warning;
    diagnostic.file = file;
    diagnostic.message = message;
    return diagnostic;
}

bool is_policy_file(const fs::path &path) {
    static constexpr std::array<std::string_view, 4> endings = {".yaml", ".yml", ".json", ".pb"};
    const auto name = path.filename().string();
    return !name.starts_with('.') &&
           std::find(endings.begin(), endings.end(), path.extension().string()) != endings.end();
}

} // namespace

PolicyStore::PolicyStore(std::string directory, std::string state)
    : directory_(std::move(directory)), state_(std::move(state)) {}

Result<void> PolicyStore::prepare() const {
    if (auto made = make_directory(state_, 0700); !made)
        return made;
    return make_directory(state_ + "/applied", 0700);
}

std::string PolicyStore::applied_path(std::string_view policy, policy::Format format) const {
    const char *ending = format == policy::Format::json   ? ".json"
                         : format == policy::Format::yaml ? ".yaml"
                                                          : ".pb";
    return state_ + "/applied/" + std::string(policy) + ending;
}

void PolicyStore::read_directory(const std::string &directory, bool applied, ReadSources &read) const {
    std::error_code error;
    std::vector<std::string> paths;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
        if (is_policy_file(entry->path()))
            paths.push_back(entry->path().string());
    if (error) {
        read.diagnostics.push_back(unreadable(directory, "read directory: " + error.message()));
        return;
    }
    std::sort(paths.begin(), paths.end());
    for (const auto &path : paths) {
        auto text = read_file(path, largest_file);
        if (text)
            read.sources.push_back({{path, std::move(*text), policy::format_of(path)}, applied});
        else
            read.diagnostics.push_back(unreadable(path, text.error().message));
    }
}

ReadSources PolicyStore::read(bool must_exist) const {
    ReadSources read;
    std::error_code error;
    if (!must_exist && !fs::exists(directory_, error) && !error)
        read.diagnostics.push_back(unreadable(directory_, "there is no policy directory", false));
    else
        read_directory(directory_, false, read);
    read_directory(state_ + "/applied", true, read);
    return read;
}

// Head, then for each source a line "file applied format name-length text-length", name and text.
Result<void> PolicyStore::save_accepted(const std::vector<StoredSource> &sources) const {
    std::string text(accepted_head);
    for (const auto &[source, applied] : sources) {
        text += "file " + std::to_string(applied) + ' ' + std::to_string(static_cast<int>(source.format)) +
                ' ' + std::to_string(source.file.size()) + ' ' + std::to_string(source.text.size()) + '\n';
        text += source.file + '\n' + source.text + '\n';
    }
    text += "end\n";
    return replace_file(state_ + "/accepted", text);
}

Result<std::vector<StoredSource>> PolicyStore::load_accepted() const {
    const std::string path = state_ + "/accepted";
    const auto text = read_file(path, largest_set);
    if (!text)
        return text.error();
    const auto broken = fault("read " + path + ": not a whole set of policies");
    if (!text->starts_with(accepted_head))
        return broken;
    std::vector<StoredSource> sources;
    std::string_view rest = std::string_view(*text).substr(accepted_head.size());
    while (rest != "end\n") {
        const auto newline = rest.find('\n');
        if (newline == std::string_view::npos)
            return broken;
        std::istringstream words{std::string(rest.substr(0, newline))};
        std::string word;
        bool applied = false;
        int format = 0;
        std::size_t name_length = 0, text_length = 0;
        if (!(words >> word >> applied >> format >> name_length >> text_length) || word != "file" ||
            format < 0 || format > 2 || name_length > rest.size() || text_length > rest.size())
            return broken;
        rest.remove_prefix(newline + 1);
        if (rest.size() < name_length + text_length + 2)
            return broken;
        sources.push_back(
            {{std::string(rest.substr(0, name_length)),
              std::string(rest.substr(name_length + 1, text_length)), static_cast<policy::Format>(format)},
             applied});
        rest.remove_prefix(name_length + text_length + 2);
    }
    return sources;
}

} // namespace penstock::daemon
