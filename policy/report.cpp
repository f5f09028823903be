// SPDX-License-Identifier: Apache-2.0
#include "policy/report.h"

#include "policy/wording.h"

#include <algorithm>
#include <stdexcept>

namespace penstock::policy {

const Places *Places::field(std::string_view name) const {
    const auto found =
        std::find_if(children.begin(), children.end(), [&](const Places &c) { return c.key == name; });
    return found == children.end() ? nullptr : &*found;
}

Places &Places::fault(std::string_view name, Place place) {
    Places child;
    child.at = place;
    child.key = name;
    child.faulty = true;
    return children.emplace_back(std::move(child));
}

void Report::add(Diagnostic diagnostic, std::size_t before, const char *what) {
    if (before > limit)
        return;
    if (before == limit)
        diagnostic.message =
            "more than " + std::to_string(limit) + " " + what + " in this source; the others are not listed";
    sink_.push_back(std::move(diagnostic));
}

void Report::error(Place place, std::string path, std::string message) {
    add({Diagnostic::Severity::error, file_, place.line, place.column, std::move(path), std::move(message)},
        errors_++, "faults");
}

void Report::warning(Place place, std::string path, std::string message) {
    add({Diagnostic::Severity::warning, file_, place.line, place.column, std::move(path), std::move(message)},
        warnings_++, "warnings");
}

Where Where::step(Step step, const Places *child) const {
    if (depth_ == max_depth)
        throw std::logic_error("policy path deeper than the schema");
    Where next(*this);
    next.places_ = child;
    if (child)
        next.place_ = child->at; // else: the place of what should have held it
    next.steps_[next.depth_++] = step;
    return next;
}

Where Where::field(std::string_view key) const {
    return step({key, 0}, places_ ? places_->field(key) : nullptr);
}

Where Where::item(int position) const {
    const auto at = static_cast<std::size_t>(position);
    const Places *child = places_ && at < places_->children.size() ? &places_->children[at] : nullptr;
    return step({{}, child && child->index >= 0 ? child->index : position}, child);
}

bool Where::any_field_faulty() const {
    return places_ && std::any_of(places_->children.begin(), places_->children.end(),
                                  [](const Places &child) { return child.faulty; });
}

namespace {

// A key that is the author's own text (a label's name) may hold anything.
std::string shown(std::string_view key) {
    const bool plain = std::none_of(key.begin(), key.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    return plain ? std::string(key) : quoted(key);
}

} // namespace

std::string Where::path() const {
    std::string path;
    for (std::size_t i = 0; i < depth_; ++i) {
        const Step &step = steps_[i];
        if (step.key.empty())
            path += "[" + std::to_string(step.index) + "]";
        else
            path.append(path.empty() ? "" : ".").append(shown(step.key));
    }
    return path;
}

void Where::error(std::string message) const {
    report_->error(place_, path(), std::move(message));
}

void Where::warning(std::string message) const {
    report_->warning(place_, path(), std::move(message));
}

} // namespace penstock::policy
