// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/policy_control.h"

#include "userspace/daemon/files.h"
#include "userspace/daemon/resolv_conf.h"

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace {

constexpr std::size_t largest_resolv_conf = 1024 * 1024;

policy::Diagnostic diagnostic_of(const std::string &message) {
    policy::Diagnostic diagnostic;
    diagnostic.message = message;
    return diagnostic;
}

ChangeOutcome refused(policy::Diagnostics diagnostics) {
    const auto errors = std::count_if(diagnostics.begin(), diagnostics.end(), [](const auto &diagnostic) {
        return diagnostic.severity == policy::Diagnostic::Severity::error;
    });
    return {422,
            "policy refused: " + std::to_string(errors) + (errors == 1 ? " error" : " errors"),
            std::move(diagnostics),
            {}};
}

std::vector<std::string> names_of(const PolicySet &set) {
    std::vector<std::string> names;
    for (const auto &policy : set.policies)
        names.push_back(policy.name);
    return names;
}

} // namespace

std::vector<std::string> split_documents(const std::string &yaml) {
    std::vector<std::string> documents(1);
    std::istringstream lines(yaml);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("---"))
            documents.emplace_back();
        documents.back() += line + "\n";
    }
    return documents;
}

PolicyControl::PolicyControl(asio::io_context &io, asio::thread_pool &pool, Enforcer &enforcer,
                             PolicyStore store, std::string resolv_conf, const Log &log)
    : pool_(pool), enforcer_(enforcer), store_(std::move(store)), resolv_conf_(std::move(resolv_conf)),
      log_(log), turn_(io.get_executor()) {}

asio::awaitable<LoadOutcome> PolicyControl::read_and_load() {
    bool must_exist = false;
    if (const auto set = enforcer_.policies())
        must_exist = std::any_of(set->sources.begin(), set->sources.end(),
                                 [](const auto &source) { return !source.applied; });
    co_return co_await on_pool(pool_, [this, must_exist] {
        auto read = store_.read(must_exist);
        return load_policies(std::move(read.sources), std::move(read.diagnostics));
    });
}

asio::awaitable<policy::Environment> PolicyControl::environment() {
    const auto text =
        co_await on_pool(pool_, [this] { return read_file(resolv_conf_, largest_resolv_conf); });
    if (!text)
        log_.warning("no default resolvers", {{"error", text.error().message}});
    co_return environment_of(text ? *text : std::string());
}

// Into force, then to disk. The set before stays if it cannot be.
asio::awaitable<ChangeOutcome> PolicyControl::change_to(LoadOutcome loaded) {
    if (!loaded.set)
        co_return refused(std::move(loaded.diagnostics));
    auto host = co_await environment();
    const auto enforced = co_await enforcer_.enforce(loaded.set, std::move(host));
    if (!enforced) {
        auto diagnostics = std::move(loaded.diagnostics);
        diagnostics.push_back(diagnostic_of(enforced.error().message));
        co_return ChangeOutcome{
            500, "the kernel refused: " + enforced.error().message, std::move(diagnostics), {}};
    }
    trouble_.clear();
    auto save = [&] { return store_.save_accepted(loaded.set->sources); };
    const auto saved = co_await on_pool(pool_, save);
    if (!saved)
        log_.error("the accepted policies could not be stored", {{"error", saved.error().message}});
    co_return ChangeOutcome{200, "", loaded.set->diagnostics, names_of(*loaded.set)};
}

ChangeOutcome PolicyControl::recorded(ChangeOutcome outcome) {
    last_ = ReloadRecord{std::chrono::system_clock::now(), outcome.status == 200, outcome.diagnostics};
    report(outcome);
    return outcome;
}

void PolicyControl::report(const ChangeOutcome &outcome) const {
    for (const auto &diagnostic : outcome.diagnostics) {
        const bool error = diagnostic.severity == policy::Diagnostic::Severity::error;
        log_.write(error ? LogLevel::error : LogLevel::warning, "policy",
                   {{"diagnostic", diagnostic.text()}});
    }
    if (outcome.status != 200) {
        log_.error("policies not changed: what was in force still is", {{"error", outcome.error}});
        return;
    }
    for (const auto &sentence : enforcer_.warnings())
        log_.warning(sentence);
    const auto in_force = enforcer_.policies(); // the outcome names only those that changed
    log_.info("policies in force", {{"policies", std::to_string(in_force ? in_force->policies.size() : 0)},
                                    {"containers", std::to_string(enforcer_.containers().size())},
                                    {"generation", std::to_string(enforcer_.generation())}});
}

asio::awaitable<void> PolicyControl::start() {
    const auto turn = co_await turn_.take();
    auto loaded = co_await read_and_load();
    const auto outcome = recorded(co_await change_to(std::move(loaded)));
    if (outcome.status == 200)
        co_return;
    const auto accepted = co_await on_pool(pool_, [this] { return store_.load_accepted(); });
    if (!accepted) {
        trouble_ =
            accepted.error().code == ENOENT
                ? "no policies are in force: those of the directory have errors and none were accepted before"
                : accepted.error().message;
        log_.error(trouble_);
        co_return;
    }
    auto load = [&] { return load_policies(*accepted, {}); };
    auto before = co_await on_pool(pool_, load);
    const auto fallback = co_await change_to(std::move(before));
    trouble_ = fallback.status == 200 ? "" : "the policies accepted last are refused now: " + fallback.error;
    if (trouble_.empty())
        log_.warning("the policies accepted last are in force instead");
    else
        log_.error(trouble_);
}

asio::awaitable<void> PolicyControl::idle() {
    const auto turn = co_await turn_.take();
}

asio::awaitable<ChangeOutcome> PolicyControl::reload() {
    const auto turn = co_await turn_.take();
    auto loaded = co_await read_and_load();
    co_return recorded(co_await change_to(std::move(loaded)));
}

asio::awaitable<ChangeOutcome> PolicyControl::apply(policy::Source given) {
    const auto turn = co_await turn_.take();
    const auto in_force = enforcer_.policies();
    if (!in_force)
        co_return ChangeOutcome{
            503, "the policies of the directory are not in force: mend them and reload", {}, {}};
    auto load = [&] {
        std::vector<StoredSource> one(1, StoredSource{given, true});
        return load_policies(std::move(one), {});
    };
    auto alone = co_await on_pool(pool_, load);
    if (!alone.set)
        co_return recorded(refused(std::move(alone.diagnostics)));
    if (alone.set->policies.empty())
        co_return ChangeOutcome{422, "the text holds no policy", {}, {}};
    if (given.format != policy::Format::yaml && alone.set->policies.size() > 1)
        co_return ChangeOutcome{422, "a JSON or protobuf text must hold one policy to be applied", {}, {}};

    std::vector<std::string> documents = given.format == policy::Format::yaml
                                             ? split_documents(given.text)
                                             : std::vector<std::string>{given.text};
    std::vector<StoredSource> added;
    for (auto &document : documents) {
        const auto one = policy::load({{given.file, document, given.format}});
        if (policy::has_errors(one.diagnostics) || one.policies.size() > 1)
            co_return ChangeOutcome{
                422, "a document could not be taken apart from the others", one.diagnostics, {}};
        if (!one.policies.empty())
            added.push_back(
                {{store_.applied_path(one.policies[0].name, given.format), std::move(document), given.format},
                 true});
    }

    std::vector<StoredSource> sources;
    std::vector<std::string> dropped;
    const auto names = names_of(*alone.set);
    for (std::size_t i = 0; i < in_force->sources.size(); ++i) {
        bool replaced = false;
        for (std::size_t p = 0; p < in_force->policies.size(); ++p) {
            const auto &name = in_force->policies[p].name;
            if (in_force->source_of[p] != i || std::find(names.begin(), names.end(), name) == names.end())
                continue;
            if (!in_force->sources[i].applied)
                co_return ChangeOutcome{409,
                                        "policy '" + name + "' is defined by " +
                                            in_force->sources[i].source.file + ": edit that file and reload",
                                        {},
                                        {}};
            replaced = true;
        }
        if (replaced)
            dropped.push_back(in_force->sources[i].source.file);
        else
            sources.push_back(in_force->sources[i]);
    }
    auto outcome = co_await change_stored(std::move(sources), std::move(added), std::move(dropped));
    if (outcome.status == 200) {
        outcome.policies = names;
        outcome.diagnostics = alone.diagnostics;
    }
    co_return recorded(std::move(outcome));
}

asio::awaitable<ChangeOutcome> PolicyControl::remove(std::string name) {
    const auto turn = co_await turn_.take();
    const auto in_force = enforcer_.policies();
    for (std::size_t p = 0; in_force && p < in_force->policies.size(); ++p) {
        if (in_force->policies[p].name != name)
            continue;
        const auto &source = in_force->sources[in_force->source_of[p]];
        if (!source.applied)
            co_return ChangeOutcome{409,
                                    "policy '" + name + "' is defined by " + source.source.file +
                                        ": remove it there and reload",
                                    {},
                                    {}};
        auto sources = in_force->sources;
        sources.erase(sources.begin() + static_cast<std::ptrdiff_t>(in_force->source_of[p]));
        // Named, as GCC 12 cannot keep a braced list across a co_await ("array used as initializer").
        std::vector<std::string> dropped(1, source.source.file);
        auto outcome =
            co_await change_stored(std::move(sources), std::vector<StoredSource>(), std::move(dropped));
        outcome.policies.assign(1, name);
        co_return recorded(std::move(outcome));
    }
    co_return ChangeOutcome{404, "no policy '" + name + "' is in force", {}, {}};
}

// A change of what was applied: in force first, then its files. If they cannot be written, back to what was.
asio::awaitable<ChangeOutcome> PolicyControl::change_stored(std::vector<StoredSource> kept,
                                                            std::vector<StoredSource> added,
                                                            std::vector<std::string> dropped_files) {
    const auto before = enforcer_.policies();
    auto sources = std::move(kept);
    sources.insert(sources.end(), added.begin(), added.end());
    auto load = [&] { return load_policies(sources, {}); };
    auto loaded = co_await on_pool(pool_, load);
    auto outcome = co_await change_to(std::move(loaded));
    if (outcome.status != 200)
        co_return outcome;
    auto store = [&]() -> Result<void> {
        for (const auto &[source, applied] : added)
            if (auto written = replace_file(source.file, source.text); !written)
                return written;
        for (const auto &file : dropped_files)
            if (std::none_of(added.begin(), added.end(),
                             [&](const auto &entry) { return entry.source.file == file; }))
                if (auto removed = remove_file(file); !removed)
                    return removed;
        return {};
    };
    const auto stored = co_await on_pool(pool_, store);
    if (stored)
        co_return outcome;
    LoadOutcome undo;
    undo.set = before;
    const auto undone = co_await change_to(std::move(undo));
    co_return ChangeOutcome{
        500,
        "the policy could not be stored" +
            std::string(undone.status == 200 ? ", nothing has changed: " : " (nor undone): ") +
            stored.error().message,
        {},
        {}};
}

} // namespace penstock::daemon
